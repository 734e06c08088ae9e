"""The page of a study: charts, gallery, and the templates that hold them."""
