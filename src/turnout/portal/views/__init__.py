"""What is shown under which address: one module for each noun."""
