"""Problems that a user can mend, in the user's words.

Every sentence says what was expected, what came, and what to do next. The command line prints it and
ends with status 1; a page shows it. Anything else that is raised is a bug and keeps its traceback.

    UserError
    ├── BadReference       the author asked for is not one we know how to find
    ├── BadFile            posts cannot be read from a file, or not written to it
    ├── NetworkFailed      a network cannot be reached, or does not give the posts
    ├── TooFewPosts        the posts are there, but there is too little text to learn from
    ├── BadSetting         a knob was turned past its end
    ├── ModelUnavailable   the pre-trained weights cannot be had, or are not whole
    ├── BadBot             a bot's folder is missing, incomplete, or cannot be written
    ├── SharingFailed      a bot cannot be published or packed: no consent, no token, no connection
    ├── OutOfMemory        this machine is too small for what was asked
    └── ProcessLost        of several processes that work together, one has ended
"""


class UserError(Exception):
    """Base of all problems that a user can mend. `str(error)` is one or two plain sentences."""


class BadReference(UserError):
    """No author can be found under what the user typed."""


class BadFile(UserError):
    """A file of posts is empty, damaged or of a form that is not read here; or it cannot be written."""


class NetworkFailed(UserError):
    """A network cannot be reached, or does not give the posts that were asked for."""


class TooFewPosts(UserError):
    """What is left after cleaning is too little to learn a voice from."""


class BadSetting(UserError):
    """A setting has a value outside its range."""


class ModelUnavailable(UserError):
    """Pre-trained weights or their tokenizer cannot be fetched, or are not whole."""


class BadBot(UserError):
    """A bot's folder cannot be read, or a bot cannot be written there."""


class SharingFailed(UserError):
    """A bot cannot be published or packed; what was there before is as it was."""


class OutOfMemory(UserError):
    """The machine has less memory than the job needs."""


class ProcessLost(UserError):
    """Of several processes that work together, one has ended before the others."""
