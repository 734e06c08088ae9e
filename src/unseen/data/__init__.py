"""Clean images: folders of photographs, the embedded ones, and dead leaves."""
