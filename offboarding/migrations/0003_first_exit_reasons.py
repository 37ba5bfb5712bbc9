from django.db import migrations

REASONS = [
    ("too_expensive", "It costs too much", "Cuesta demasiado", "plan"),
    ("not_using", "I do not use it enough", "No lo uso lo suficiente", "pause"),
    ("missing_feature", "Something I need is missing", "Falta algo que necesito", "call"),
    ("problems", "Something does not work for me", "Algo no me funciona", "free_days"),
    ("switching", "I am moving to something else", "Me paso a otra solución", ""),
    ("project_over", "What I needed it for is over", "Ya terminó aquello para lo que lo necesitaba", "pause"),
    ("other", "Something else", "Otro motivo", ""),
]


def add_reasons(apps, schema_editor):
    """A first list, for staff to edit; a list that exists already is left alone."""
    reasons = apps.get_model("offboarding", "ExitReason")
    if reasons.objects.exists():
        return
    for position, (code, english, spanish, offer) in enumerate(REASONS):
        reasons.objects.create(code=code, label_en=english, label_es=spanish, offer=offer, position=position)


class Migration(migrations.Migration):
    """What people can choose on the first day."""

    dependencies = [("offboarding", "0002_erasures_are_leased_and_can_be_stopped")]

    operations = [migrations.RunPython(add_reasons, migrations.RunPython.noop)]
