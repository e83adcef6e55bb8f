"""What people say, checked whole before it means anything."""
