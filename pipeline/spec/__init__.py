"""A spec as a value: sections with places, the components that sections yield, and their bundles."""
