"""What a student is, and the students that are bundled."""
