"""Runs functions at the same time."""

import threading


def in_threads(*tasks):
    """Results of functions that run at the same time; the first error is raised."""
    results, errors = [None] * len(tasks), []
    barrier = threading.Barrier(len(tasks))

    def work(index):
        try:
            barrier.wait()
            results[index] = tasks[index]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
