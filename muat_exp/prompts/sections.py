"""The headings and the named lines of a prompt, as they are written and read."""

ARCHITECTURE = "Model Architecture"
WEIGHTS = "Model Weights"
SIGNATURE = "Activation Signature"
LAYERS = "Model Weights and Activation Signatures"  # interwoven, in the place of these two
TASK = "Task"

INPUT_SIZE = "Input Size"
HIDDEN_LAYERS = "Hidden Layers"
NEURONS_PER_LAYER = "Neurons per Layer"
ACTIVATION_FUNCTION = "Activation Function"
DROPOUT_RATE = "Dropout Rate"

COMPACT = "Compact Weights"  # compact, in the place of the weights; it may lack the signature
METHODS = "Methods"
LARGEST = "largest"  # by digits: the largest magnitudes of a layer
