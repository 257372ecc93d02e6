from treadle.data.crawl.chrome import FEWEST, chrome_of, without_chrome


def test_a_line_on_more_than_thirty_percent_of_the_pages_is_chrome():
    pages = [f"Menu\nText of page {number}\n{'Often' if number < 3 else 'x'}" for number in range(10)]
    assert chrome_of(pages) == {"Menu"}
    pages[3] += "\nOften"
    assert chrome_of(pages) == {"Menu", "Often"}


def test_a_line_that_one_page_repeats_counts_once_and_signs_never():
    pages = ["again\nagain\nagain\n}\n--", *(f"page {number} text\n}}\n--" for number in range(9))]
    assert chrome_of(pages) == set()


def test_on_few_pages_nothing_is_chrome():
    assert chrome_of(["Menu"] * (FEWEST - 1)) == set()
    assert chrome_of(["Menu"] * FEWEST) == {"Menu"}


def test_what_is_left_without_chrome_keeps_its_paragraphs():
    assert without_chrome("Menu\n\nOne.\n\nMenu\n\nTwo.\n", {"Menu"}) == "One.\n\nTwo."
    assert without_chrome("  Menu  \nOne.", {"Menu"}) == "One."
    assert without_chrome("One.\n\n\n\nTwo. ", set()) == "One.\n\n\n\nTwo. "
