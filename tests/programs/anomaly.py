# anomaly mode
import warnings

warnings.simplefilter("ignore")
x = torch.tensor([-1.0], requires_grad=True)
with torch.autograd.detect_anomaly():
    y = x.sqrt()
    attempt(lambda: y.sum().backward(), message=True)
    print(
        torch.is_anomaly_enabled(),
        torch.is_anomaly_check_nan_enabled(),
        type(y.grad_fn.metadata["traceback_"]),
    )
with torch.autograd.set_detect_anomaly(True, check_nan=False):
    y = x.sqrt()
    y.sum().backward()
    print(x.grad, torch.is_anomaly_check_nan_enabled())
print(torch.is_anomaly_enabled())
