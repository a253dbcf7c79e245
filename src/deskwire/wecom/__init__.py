"""Everything WeCom, and nothing else: knows the dialect, not the desk."""
