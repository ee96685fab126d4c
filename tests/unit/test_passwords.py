"""What a stolen password hash costs whoever guesses at it."""

from argon2 import Type, extract_parameters

from dockbell.actions.passwords import _hasher


def test_passwords_are_hashed_as_rfc_9106_recommends_where_memory_is_short():
    found = extract_parameters(_hasher.hash("tea, biscuits and rain"))
    assert (found.type, found.time_cost, found.memory_cost, found.parallelism) == (Type.ID, 3, 64 * 1024, 4)
    assert (found.salt_len, found.hash_len) == (16, 32)
