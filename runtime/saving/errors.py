"""What is raised for files that are not what they should be."""


class SavedFileError(RuntimeError):
    """The file is damaged, of another kind, or holds what no tensor can be."""
