"""The HRM as ONNX graphs: built, checked against the model, and run without torch.

graph        builds the graphs of the first segment of thinking and of each later segment
export       writes the graphs with everything that deciding needs
quantisation int8 weights with fixed scales
policy       states in, choices out, by ONNX Runtime or OpenVINO
gathering    what several threads ask at once, computed together
"""
