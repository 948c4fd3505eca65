"""What is done to people, the model and the gateway, and what should come of it. Each scenario has people of its own."""

import model
from service import APOLOGY, LONGER, NO_BROWSER, until


def apologies(texts):
    return sum(APOLOGY in text for text in texts)


def history(table, people, stub):
    person = people.person()
    for number in range(1, 21):
        person.write(f"Number {number}. #say")
        person.wait_for(number)
    person.write("Which? #numbers")
    got = person.wait_for(21)
    table.row("history", "twenty messages, then a question about all", got[20:], people.alerts(), [
        (got[:20] == ["Fine."] * 20, "each message is answered once"),
        (got[20:] == [f"Numbers: {' '.join(str(number) for number in range(1, 21))}."], "the model sees all twenty, in order, once"),
    ])


def deployments(table, one, other):
    """Of both it is the first conversation of its database."""
    one.write("My PIN is 4711. #say")
    one.wait_for(1)
    other.write("What is my PIN? #pin")
    stranger = other.wait_for(1)
    one.write("What is my PIN? #pin")
    got = one.wait_for(2)
    table.row("G1", "a PIN is told in one deployment, and asked for in both", [f"here: {got[-1]}", f"there: {stranger[-1]}"], [], [
        (got[-1:] == ["PINs: 4711."], "who told the PIN finds it again"),
        (stranger == ["PINs: ."], "nobody else does"),
    ])


def formats(table, people):
    person = people.person()
    person.write("Please tell me all. #long")
    person.wait_for_word("paragraph 8")
    got = person.wait_for(2)
    words = " ".join(" ".join(got).split())
    table.row("chunks", f"a long answer ({len(model.LONG_ANSWER)} characters)", [f"{len(got)} chunks of {[len(text) for text in got]}"], [], [
        (len(got) > 1 and max(len(text) for text in got) <= 1600, "it comes in chunks"),
        (words == " ".join(model.LONG_ANSWER.split()), "they are the answer, in order"),
    ])
    person = people.person()
    person.write("How? #markdown")
    got = person.wait_for(1)
    table.row("Markdown", "an answer in Markdown", got, [], [
        (got and "**First**" not in got[0] and "*First*" in got[0], "bold is WhatsApp's"),
        (got and "#" not in got[0], "a heading has no sign of Markdown"),
        (got and "`cargo **test**`" in got[0] and "https://example.com/a_b" in got[0], "code and addresses stay as they are"),
    ])
    person = people.person()
    person.write("End early. #cut")
    got = person.wait_for(1)
    table.row("G12", "the model's answer ends at its limit of length", got, [], [
        (got and got[0].startswith("Fine.") and got[0] != "Fine.", "the answer is marked as cut"),
    ])


def pictures(table, people):
    for agent_id, right in [(None, "Pictures: 1, in words."), ("blind", "Pictures: 0, in words.")]:
        person = people.person(agent_id)
        person.send_picture("What is it? #picture")
        got = person.wait_for(1)
        seeing = "a model that sees" if agent_id is None else "a model for text alone"
        table.row("G13", f"a picture for {seeing}", got, [], [(got == [right], f"the model gets {right}")])


def browser(table, people):
    person = people.person()
    person.write("Hello. #say")
    person.wait_for(1)
    person.write("stop browser")
    got = person.wait_for(2)
    table.row("G8", '"stop browser" where none runs', got[1:], people.alerts(), [(got[1:] == [NO_BROWSER], "none was running")])


def silence(table, people, stub):
    person = people.person()
    greet(person, "Hello before the silence. #say")
    person.write("Silent, please. #silent")
    until(120, "the turn ended", lambda: len(person.turns()) > 1 and person.is_quiet())
    got, asked, turn = person.got()[1:], stub.asked("Silent, please."), person.turns()[0]
    table.row("G5", "the model answers NO_REPLY alone", got, [*people.alerts(), *person.errors(), f"the turn is {turn['state']}"], [
        (got == [], "the person gets nothing, and no apology"),
        (turn["state"] == "silent", "the turn is silent"),
        (asked == 2, "the gateway asks its model twice, in one run"),
    ], asked)
    next_message(table, person, stub, "a turn of NO_REPLY", "Hello before the silence.", "Silent, please.")


def greet(person, greeting):
    """By its first message the model's calls of a session are known."""
    person.write(greeting)
    person.wait_for(1)


def next_message(table, person, stub, what, greeting, question):
    """What the model sees in a turn that was tried again, and in the next one."""
    before = len(person.got())
    person.write("And then? #say")
    later = person.wait_for(before + 1, 200)[before:]
    # The first call was about the greeting alone.
    told = stub.told(greeting, question)[1:]
    table.row("G7", f"the next message after {what}", [*later, f"told the question: {told}"], [], [
        (later == ["Fine."], "the next message is answered"),
        (len(told) > 1 and set(told) == {1}, "in each call of the turn and of the next one the model is told the question once"),
    ])


def own_agent(table, people, stub):
    person = people.person("blind")
    person.write("Who are you? #say")
    got = person.wait_for(1)
    seen = [body for body in stub.calls if any("Who are you?" in text for text in model.texts(body))]
    agent = "agent=blind" in str(seen)
    table.row("agents", "the user has an agent of their own at a shared gateway", got, [], [
        (got == ["Fine."] and agent, "that agent answers"),
    ])


def out_of_order(table, people, stub, case, done, tag, trouble, calls_at_most, longer):
    """A model that fails, and then is well again."""
    person = people.person()
    person.write("Hello. #say")
    person.wait_for(1, 300)
    before, told_before = len(person.read()), len(people.alerts())
    person.write(f"Try it. {tag}")
    until(400, "an apology", lambda: apologies(person.read()[before:]) > 0, fail=False)
    got, asked = person.wait_for(2)[1:], stub.asked(f"Try it. {tag}")
    read = person.read()[before:]
    until(30, "an alert was posted", lambda: len(people.alerts()) > told_before, fail=False)
    told, errors = people.alerts()[told_before:], person.errors()
    person.write("And now? #say")
    after = person.wait_for(2 + len(got), 200)[1 + len(got):]
    until(30, "the alert is closed", lambda: not people.agent_alerts(), fail=False)
    table.row(case, done, read, [*told, *errors], [
        (apologies(got) == 1, "one apology"),
        (longer in (sum(LONGER in text for text in read), None), "the person is told once that it takes longer"),
        (1 <= asked <= calls_at_most, f"the model is asked, {calls_at_most} times at most"),
        (any(trouble in alert for alert in told), f"an alert says {trouble!r}"),
        (not any("OPENCLAW_TOKEN" in alert for alert in told), "no alert blames the gateway's token"),
    ], asked)
    well_again(table, people, case, f"{done}, then well again", after)


def well_again(table, people, case, done, after):
    still_open = [f"{alert['cause']} is open" for alert in people.agent_alerts()]
    table.row(case, done, after, still_open or ["no open alert about the agent"], [
        (after == ["Fine."], "the next message is answered"),
        (not still_open, "the alert is closed"),
    ])


def refused_once(table, people):
    first, second = people.person("refused-once"), people.person("refused-once")
    first.write("Try once. #refuse-once")
    first.wait_for(1)
    second.write("And I? #say")
    got = second.wait_for_word("Fine.", 200)
    table.row("G10", "the next person, after the gateway has shut a provider for a minute", got, people.alerts(), [
        ("Fine." in got and apologies(got) == 0, "an answer, later, and no apology"),
    ])


def killed_while_idle(table, people, shared, stub):
    person = people.person()
    person.write("Hello. #say")
    person.wait_for(1)
    shared.kill()
    person.write("Are you there? #say")
    until(60, "a call failed", lambda: person.turns() and len(person.turns()) > 1)
    shared.start()
    got = person.wait_for(2, 200)
    asked = stub.asked("Are you there?")
    table.row("G2", "kill -9 of the gateway while idle; a message; the gateway starts", got[1:], [*people.alerts(), *person.errors()], [
        (got == ["Fine."] * 2, "the answer, and no apology"),
        (asked == 1, "the model is asked once"),
    ], asked)


def killed_in_a_turn(table, people, shared, stub):
    person = people.person()
    greet(person, "Hello before the gateway's end. #say")
    stub.gate.clear()
    person.write("Take your time. #gate")
    until(60, "the model was asked", lambda: stub.asked("Take your time.") == 1)
    shared.kill()
    stub.gate.set()
    shared.start()
    got = person.wait_for(2, 300)
    asked = stub.asked("Take your time.")
    table.row("G2", "kill -9 of the gateway in a turn; it starts again", got[1:], [*people.alerts(), *person.errors()], [
        (got == ["Fine."] * 2, "the answer, and no apology"),
        (asked <= 3, "the model is asked three times at most: before, by the gateway's own recovery, by us"),
    ], asked)
    next_message(table, person, stub, "kill -9 of the gateway in a turn", "Hello before the gateway's end.", "Take your time.")


def service_killed_in_a_turn(table, people, stub):
    person = people.person()
    greet(person, "Hello before our end. #say")
    stub.gate.clear()
    person.write("Do not hurry. #gate")
    until(60, "the model was asked", lambda: stub.asked("Do not hurry.") == 1)
    people.kill()
    stub.gate.set()
    people.start()
    got = person.wait_for(2, 300)
    asked = stub.asked("Do not hurry.")
    table.row("crash", "kill -9 of the service in a turn; it starts again", got[1:], [*people.alerts(), *person.errors()], [
        (got == ["Fine."] * 2, "the answer, once, and no apology"),
        (asked == 2, "the model is asked twice"),
    ], asked)
    next_message(table, person, stub, "kill -9 of the service in a turn", "Hello before our end.", "Do not hurry.")


def failed_and_well_again(table, people, stub):
    """The gateway tells this failure at once, so the turn is tried again."""
    person = people.person()
    greet(person, "Hello before the filter. #say")
    stub.is_filtering.set()
    person.write("Say it. #filter")
    until(120, "a run failed", lambda: person.errors())
    stub.is_filtering.clear()
    got = person.wait_for(2, 200)
    table.row("G7", "a run fails, and the next one does not", got[1:], [*people.alerts(), *person.errors()], [
        (got == ["Fine."] * 2, "the answer, once, and no apology"),
    ], stub.asked("Say it."))
    next_message(table, person, stub, "a run that failed", "Hello before the filter.", "Say it.")


def set_up_wrong(table, people, case, done, words, break_it, mend_it):
    """A fault that the operator has to mend."""
    seen = len(people.alerts())
    break_it()
    person = people.person()
    person.write("Hello. #say")
    until(300, "an apology", lambda: apologies(person.got()) > 0, fail=False)
    got = person.wait_for(1)
    until(30, "an alert was posted", lambda: len(people.alerts()) > seen, fail=False)
    told, checked, errors = people.alerts()[seen:], people.check(), person.errors()
    mend_it()
    person.write("And now? #say")
    after = person.wait_for(len(got) + 1, 200)[len(got):]
    until(30, "the alert is closed", lambda: not people.agent_alerts(), fail=False)
    table.row(case, done, got, [*told, f"check: {checked}", *errors], [
        (apologies(got) == 1, "one apology"),
        (any(words in alert for alert in told), f"an alert says {words!r}"),
        (words in checked, f"check says {words!r}"),
    ])
    well_again(table, people, case, f"{done}, then mended", after)
