held = []
while True:
    held.append(str(len(held)) * 100)
