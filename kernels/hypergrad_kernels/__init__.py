"""The rules' loops in OpenCL, equal to the reference in every bit. Importing this package does not import pyopencl."""
