"""The training side: data, models and distillation."""
