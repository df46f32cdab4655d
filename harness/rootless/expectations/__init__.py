"""What a claim predicts on a guest, computed from facts alone."""
