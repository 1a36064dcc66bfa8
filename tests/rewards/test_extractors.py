import time

import pytest

from veridical.rewards.extractors import extract_choice, extract_yes_no


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes", "yes"),
        ("No.", "no"),
        ("  yes, it is.", "yes"),
        ("NO", "no"),
        ('"No", I would think.', "no"),
        ("**Yes**, a red one.", "yes"),
        ("Yes, there is no dog in the picture.", "yes"),
        ("No, yes-men are not in the picture.", "no"),
        ("No dog is to be seen.", "no"),
        ("The answer is no.", "no"),
        ("The answer: Yes", "yes"),
        ("The answer is most likely yes, since it is dark.", "yes"),
        ("I would say no.", "no"),
        ("A dog lies on the sofa. Yes, there is one.", "yes"),
        ("There are two cats.\nNo.", "no"),
        ("Yes. Yes, there is.", "yes"),
        # nothing, or not clearly
        ("", None),
        ("   \n", None),
        ("There is a dog with no collar.", None),
        ("The man says no word.", None),
        ("Not really.", None),
        ("None of them.", None),
        ("Nobody is there.", None),
        ("North of the river.", None),
        ("Noël is near.", None),
        ("Yesterday it rained.", None),
        ("No. 5 is the bus.", None),
        ("No-parking signs stand there.", None),
        ("No idea.", None),
        ("No way to tell from the picture.", None),
        # both
        ("Yes and no.", None),
        ("yes/no", None),
        ("Yes. No, wait.", None),
        ("Yes, it is. The answer is no.", None),
        ("The answer is yes. The answer is no.", None),
        # other languages
        ("Oui, il y a un chien.", None),
        ("Nein.", None),
        ("Non.", None),
        ("Sí, hay un perro.", None),
        ("是的", None),
        ("Нет", None),
    ],
)
def test_yes_and_no(text, said):
    assert extract_yes_no(text) == said


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("B.", "B"),
        ("(B)", "B"),
        ("(b) a dog", "B"),
        ("[C]", "C"),
        ("B) a dog", "B"),
        ("B: a dog", "B"),
        ("A.", "A"),
        ("A. A dog on a sofa.", "A"),
        ("**D**", "D"),
        ("(A), since there is a red car.", "A"),
        ("The answer is B.", "B"),
        ("The answer is (B).", "B"),
        ("The answer is A because it is raining.", "A"),
        ("The answer is B dog.", "B"),
        ("The correct option is C. a car", "C"),
        ("The best choice would be 'D'.", "D"),
        ("Answer: b", "B"),
        ("The answer is most likely option C.", "C"),
        ("I would go with B.", "B"),
        ("It is a dog that lies there. So B.", "B"),
        ("It is a dog that lies there.\n(B)", "B"),
        ("It is dark and wet. Therefore, C", "C"),
        ("I think that (B) is right.", "B"),
        ("A dog lies on a sofa. The answer is B.", "B"),
        ("Option A shows a cat, option C a car; the answer is B.", "B"),
        ("A. a cat\nB. a dog\nC. a car\nThe answer is B.", "B"),
        ("The answer is A. Looking again, there is a dog. Final answer: B", "B"),
        # the article, and other letters that choose nothing
        ("A dog lies on the sofa.", None),
        ("The answer is a dog.", None),
        ("The answer is A dog.", None),
        ("There is a cat and a dog.", None),
        ("The man takes vitamin B.", None),
        ("It is a plan B", None),
        ("The answer is not B.", None),
        ("The answer is Berlin.", None),
        ("Because it is raining.", None),
        ("", None),
        ("  ", None),
        # conflicting letters
        ("A. a cat\nB. a dog\nC. a car", None),
        ("A or B", None),
        ("A, B and C are all in the picture.", None),
        ("The answer is A or B.", None),
        ("A/B", None),
        ("A. The answer is B.", None),
        ("The correct option is A. The correct option is B. The correct option is C.", None),
        ("Either (A) or (B).", None),
        # other languages
        ("La respuesta es B porque llueve.", None),
        ("Die Antwort ist B.", None),
        ("答案是B", None),
    ],
)
def test_the_letter_of_an_option(text, letter):
    assert extract_choice(text) == letter


@pytest.mark.parametrize(
    "piece",
    [
        "\n",
        " ",
        ".\n",
        '\n"',
        "\n(",
        ". ",
        "answer is A. ",
        "A, ",
        "the answer: ",
        "no\n",
        "(A",
        "A)\n",
    ],
)
@pytest.mark.parametrize("extract", [extract_yes_no, extract_choice])
def test_time_grows_with_the_length_of_the_text_alone(extract, piece):
    begun = time.process_time()
    extract(piece * 40_000 + "x")
    assert time.process_time() - begun < 3


def test_an_answer_after_many_blanks_is_read():
    assert extract_yes_no("\n" * 500 + "Yes, it is.") == "yes"
    assert extract_choice("It is red." + "\n" * 500 + "B.") == "B"
