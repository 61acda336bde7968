"""Where kernels run: in the calling thread, or on threads over the subjects of a cohort."""
