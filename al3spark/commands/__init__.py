"""The commands by whom they are for, and the flags of a request: words in, calls out."""
