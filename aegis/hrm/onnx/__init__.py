"""The HRM as ONNX graphs: made, checked against the model, and run without torch.

graph        the two graphs, for the first segment of thinking and for a later one
export       the graphs written with all that deciding by them needs
quantisation int8 weights with fixed scales
policy       states in, probabilities out, by ONNX Runtime or OpenVINO
"""
