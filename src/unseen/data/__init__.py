"""Clean and recorded images: the user's folders, the embedded photographs, and dead leaves."""
