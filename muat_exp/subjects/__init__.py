"""What a subject is: its shape, its data, its weights."""
