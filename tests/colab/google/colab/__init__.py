"""A stand-in for Colab's own package, with the functions that are used here and the behaviour they document.

Not in Colab's: where the secrets come from. They are in the JSON file that COLAB_SECRETS names: a value for each
name, null for one that the notebook may not see. Without such a file nobody looks at the notebook.
"""

from google.colab import output, userdata

__all__ = ["output", "userdata"]
