"""The papers' figures: NAME_data.py computes, NAME_plot.py draws, the report shows. Not part of the wheel."""
