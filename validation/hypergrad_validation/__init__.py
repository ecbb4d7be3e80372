"""Cases, conformance and speed: how an installed package shows that its kernels leave the reference's bits."""
