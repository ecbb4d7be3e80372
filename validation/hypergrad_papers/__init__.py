"""The papers: claims, laws and runs, in a folder per paper, and beside them what this project asks by itself."""
