"""What is done with registrations: creating them, running their handlers, asking about them."""
