"""What appears below a cell."""


def enable_custom_widget_manager() -> None:
    print("custom widgets are on")
