"""What the page of a study is made of: charts, gallery, and the templates that hold them."""
