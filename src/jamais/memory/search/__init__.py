"""How are the nearest rows found: by matrix products that bound their own error, in cells, on a device?"""
