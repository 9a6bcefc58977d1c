"""HuggingTweets: from somebody's posts to a small language model that writes in their voice.

The package in reading order, the order in which the data moves:

    timelines/      where posts come from                a reference        -> Timeline
    cleaning.py     what is worth learning from          a Timeline         -> CleanTimeline
    dataset.py      three parts, and batches of tokens   CleanTimelines     -> PostDataset
    new_posts.py    what is new, and old posts with it   parts, CleanTimelines  -> Lesson
    models.py       the pre-trained models               a name             -> weights and tokenizer
    training.py     learning within a budget of minutes  model, PostDataset -> a better model
    adapters.py     which weights learn
    footprint.py    how much memory that takes, and how to take less
    schedule.py     how large the steps are, and how far each goes
    course.py       when to validate, what to keep, when training is over
    pace.py         has the machine slowed down?
    countdown.py    how long will it still go on?
    threads.py      how many threads pay, with what else runs here?
    bot.py          what is kept                         model and story    -> a folder
    story.py        where a bot comes from, as its bot.json tells it
    generation.py   writing                              a Bot, an opening  -> Drafts
    evaluation.py   the plain truth about a bot          a Bot              -> figures
    comparison.py   was an update worth it?              figures            -> a verdict

    tracking.py     a record of a training with W&B, or silence
    tracking_runs.py  its two runs, and what is written into them

    pipeline.py     the whole way, once
    experiments.py  one thing tried differently, and a figure
    update.py       looking for new posts, and learning from them
    report.py       how a bot came about, and where the seconds went
    sharing/        giving a bot or a draft away         a folder, a text -> card, zip, Hub, GGUF, links
    listener.py     a bot that stays in memory and writes when it is asked
    commands/       the same from a command line: fetch, train, tweet, …
    __main__.py     python -m utils

    dashboard/      the page: a class for each region of the screen

    scoring.py      bits per character of a text under a model
    head.py         the last matrix: logits, and the loss
    low_rank.py     LoRA's linear layers, in fewer operations
    sampling.py     texts from a model, side by side
    copies.py       does this text repeat one of those?
    language_model.py  a network, its tokenizer, and the tokens around a post
    post_length.py  how X counts a post, and the mark of a bot
    atomic.py       folders that appear whole or not at all
    locks.py        one process at a time
    processes.py    several processes that make one bot
    colab.py        what a notebook on Google Colab needs first
    environment.py  this machine: device, precision, folders
    memory.py       what memory is left, here and in this container
    figures.py      charts for a notebook
    terminal.py     the progress bar, and Ctrl-C
    settings.py     the few knobs, each default beside its reason
    errors.py       problems that a user can mend
    events.py       how a long job tells what it is doing

Importing this package imports none of them, so that a page or `--help` appears at once; torch and
transformers wait until something is loaded or trained.
"""
