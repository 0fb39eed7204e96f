"""The demonstration: a scene the program draws itself, sent through a call and sharpened."""
