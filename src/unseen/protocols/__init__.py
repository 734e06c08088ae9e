"""Named, versioned experiments: what is seen, held out and unseen, and how it is measured."""
