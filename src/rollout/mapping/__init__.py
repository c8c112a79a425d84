"""From the source's columns to the entity's fields: specs, transforms, value maps."""
