"""What is kept: sealed, by compare-and-swap, and looked after."""
