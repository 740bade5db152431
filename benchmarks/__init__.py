"""What is measured, against which peers, with which command? See README.md."""
