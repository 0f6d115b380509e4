"""The form of a case; the cases themselves stand in cases_*.py, by topic."""


class Case:
    """
    name        of the test
    dockerfile  text
    files       of the context
    args        of the command
    config      {key: value} that the image's config must have
    tree        {path: what builds.Member says of it, or a part of the content after "~"}
    gone        paths that must not be there
    says        a text, or several, that the client prints
    error       a text of the error; the build must fail
    history     texts, one per last instruction, that its history must have (newest last)
    only        client that it is for, when the other one cannot ask for it
    """

    def __init__(self, name, dockerfile, files=None, args=(), config=None, tree=None, gone=(),
                 says=(), error=None, history=None, only=None):
        self.name, self.dockerfile, self.files = name, dockerfile, files or {}
        self.args, self.config, self.tree = args, config or {}, tree or {}
        self.gone, self.error, self.history, self.only = gone, error, history, only
        self.says = [says] if isinstance(says, str) else says
