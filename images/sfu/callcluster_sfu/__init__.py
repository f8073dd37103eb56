"""The SFU's control half: what happens once per participant; packets belong to the plane."""
