"""Where kernels run, in the calling thread or on threads, and how much is done at a time."""
