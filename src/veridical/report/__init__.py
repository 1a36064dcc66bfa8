"""Tables, figures and one self-contained HTML file from what lies on disk. No torch."""
