"""What units do in generated pictures: removed, inserted, and what appears instead."""
