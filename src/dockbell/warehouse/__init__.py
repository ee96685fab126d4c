"""The reference warehouse: a customer of Dockbell that ships with it, and an example for authors of a WMS.

    api -> inputs (judged) -> actions -> rules   what may follow what; pure
                                 |    -> store   all SQL of the warehouse
                                 +----> documents -> Act.tell   what it means for others

An action is a function of an `Act`: one transaction, with who does it, where and when. What changes and the events that
tell of it are committed together. Each noun has one file in each room.
"""
