"""The command line: words to an operation and its answer to text, all made from the declarations."""
