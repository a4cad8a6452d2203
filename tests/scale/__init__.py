"""Lists of the size a large cloud has: how engines find their rows, and how long it takes."""
