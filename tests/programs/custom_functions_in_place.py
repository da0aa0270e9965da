# autograd.Function that changes inputs in place, returns views or inputs
