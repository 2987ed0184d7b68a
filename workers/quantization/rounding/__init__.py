"""From a weight and its scale to the integers: to the nearest, or so that the layer's output suffers least."""
