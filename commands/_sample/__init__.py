"""The sample clinic of `clinicrelay demo`: made-up people, a diary, and a week of exports."""
