"""Networks in torch: students in their training form, and teachers."""
