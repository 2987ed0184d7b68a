"""What rounding one thing costs, measured."""
