"""The list, the details, the form, confirmation, picker, progress: each written once."""
